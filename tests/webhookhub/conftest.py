from tests.deliveries.conftest import clean_queue as clean_queue
from tests.deliveries.conftest import redis_queue as redis_queue

import pytest
from django.utils.datastructures import MultiValueDict

from configurations.events import BY_TYPE, GROUPS, EventType
from configurations.forms import PRESETS, ConfigForm
from configurations.models import State, WebhookConfig
from tests.factories import make_cart, make_config, make_product, make_sale, make_seller

pytestmark = pytest.mark.django_db


def fill(seller, instance=None, **fields):
    data = {
        "name": "Members area",
        "url": "https://example.com/hook",
        "events": ["PURCHASE_APPROVED"],
        "scope": "all",
        "version": "2.0.0",
    } | fields
    listed = MultiValueDict({k: v if isinstance(v, list) else [str(v)] for k, v in data.items()})
    return ConfigForm(listed, instance=instance or WebhookConfig(owner=seller))


def problems(form):
    return {field: [error.code for error in errors.as_data()] for field, errors in form.errors.items()}


def test_what_is_filled_in_is_what_is_saved(producer, product):
    form = fill(producer, scope="only", product=product.pk, events=["PURCHASE_REFUNDED", "PURCHASE_APPROVED"])
    config = form.save()
    config.refresh_from_db()
    assert config.owner == producer
    assert (config.name, config.url) == ("Members area", "https://example.com/hook")
    assert config.events == ["PURCHASE_APPROVED", "PURCHASE_REFUNDED"]  # in the catalogue's order
    assert (config.product, config.version, config.state) == (product, "2.0.0", State.ON)


def test_every_event_of_the_catalogue_can_be_ticked(producer):
    form = fill(producer, events=[str(type_) for type_ in BY_TYPE])
    assert form.save().events == [str(type_) for type_ in BY_TYPE]


def test_without_an_event_it_says_so(producer):
    assert problems(fill(producer, events=[])) == {"events": ["required"]}


def test_an_event_that_does_not_exist_is_refused(producer):
    assert problems(fill(producer, events=["PURCHASE_TELEPORTED"])) == {"events": ["invalid_choice"]}


def test_a_whole_group_can_be_ticked_at_once_without_script(producer):
    form = fill(producer, events=["PURCHASE_APPROVED"], all_of=["money-back"])
    assert form.save().events == [
        "PURCHASE_APPROVED",
        "PURCHASE_PROTEST",
        "PURCHASE_REFUNDED",
        "PURCHASE_CHARGEBACK",
    ]


def test_the_tick_boxes_stand_in_their_groups_and_keep_what_was_ticked(producer):
    groups = list(fill(producer, url="", events=["PURCHASE_REFUNDED"]).event_groups())
    assert [group.name for group, _ in groups] == [group.name for group in GROUPS]
    ticked = [event.type for _, events in groups for event, box in events if box.data["selected"]]
    assert ticked == [EventType.REFUNDED]


def test_presets_ask_only_for_events_that_exist():
    assert all(set(preset.events) <= set(BY_TYPE) for preset in PRESETS)


@pytest.mark.parametrize(
    "url", ["", "hook", "ftp://example.com/", "https://", "http://10.0.0.1/", "https://example.com:22/"]
)
def test_a_url_that_cannot_be_posted_to_is_refused_in_words(producer, settings, url):
    settings.DELIVERY_ALLOWED_PORTS = [80, 443]
    form = fill(producer, url=url)
    assert list(form.errors) == ["url"]
    assert len(form.errors["url"][0]) > 10


def test_a_url_is_trimmed_and_saved_in_its_canonical_form(producer):
    assert fill(producer, url="  HTTPS://Bücher.Example/Hook \n").save().url == (
        "https://xn--bcher-kva.example/Hook"
    )


def test_a_url_of_more_than_2000_characters_is_refused(producer):
    assert problems(fill(producer, url="https://example.com/" + "a" * 2000)) == {"url": ["max_length"]}


def test_an_empty_name_becomes_the_host(producer):
    assert fill(producer, name="  ").save().name == "example.com"


def test_a_name_is_one_line(producer):
    assert fill(producer, name="Members\r\nBcc: x@example.com").save().name == "Members Bcc: x@example.com"


def test_somebody_elses_product_is_refused(producer, product):
    foreign = make_product()
    assert problems(fill(producer, scope="only", product=foreign.pk)) == {"product": ["invalid_choice"]}


def test_only_one_product_needs_to_be_named(producer, product):
    assert problems(fill(producer, scope="only", product="")) == {"product": ["required"]}


def test_all_products_wins_over_a_product_that_was_left_chosen(producer, product):
    assert fill(producer, scope="all", product=product.pk).save().product is None
    assert fill(producer, scope="all", product=make_product().pk).save().product is None


def test_an_affiliate_chooses_among_the_products_they_sold():
    affiliate = make_seller()
    sold, left, neither = make_product(), make_product(), make_product()
    make_sale(sold, affiliate=affiliate)
    make_sale(sold, affiliate=affiliate)
    make_cart(left, affiliate=affiliate)
    form = fill(affiliate)
    assert set(form.fields["product"].queryset) == {sold, left}
    assert len(form.fields["product"].queryset) == 2
    assert problems(fill(affiliate, scope="only", product=neither.pk)) == {"product": ["invalid_choice"]}


def test_who_sells_nothing_yet_has_all_products_alone_to_choose(producer):
    assert [value for value, _ in fill(producer).fields["scope"].choices] == ["all"]
    assert fill(producer).save().product is None
    assert problems(fill(producer, scope="only")) == {"scope": ["invalid_choice"]}


def test_the_product_it_is_for_stays_a_choice_even_if_it_is_not_sold_any_more(producer):
    config = make_config(producer, product=make_product())
    form = fill(producer, instance=config, scope="only", product=config.product_id)
    assert form.is_valid()


def test_an_edit_does_not_overwrite_a_state_that_changed_meanwhile(producer):
    config = make_config(producer)
    form = fill(producer, instance=WebhookConfig.objects.get(pk=config.pk), name="New name")
    config.switch_off()
    form.save()
    config.refresh_from_db()
    assert (config.name, config.state) == ("New name", State.OFF)


def test_a_version_that_cannot_be_sent_is_refused(producer):
    assert problems(fill(producer, version="9.9.9")) == {"version": ["invalid_choice"]}

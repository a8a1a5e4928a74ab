"""When a drain that has posts in hand asks the database whether there is more for it. Times are monotonic seconds."""

from dataclasses import dataclass

AGAIN = 0.1  # seconds after a claim that got all there was, and after looks in vain
SOON = 0.02  # seconds between two looks whether anything is new


@dataclass(slots=True)
class Looks:
    more_at: float = 0.0  # for more that is due
    new_at: float = 0.0  # whether anything is new, which costs little
    in_vain: bool = False  # the last look: it was, and could not be claimed
    apart_at: float = 0.0  # for what own queues may send, which costs as much as a claim

    def is_due(self, now: float) -> bool:
        """Whether to look if anything is new; the next time is SOON afterwards."""
        if now < self.new_at:
            return False
        self.new_at = now + SOON
        return True

    def claimed(self, now: float, *, in_vain: bool, all_until: float | None) -> None:
        """`in_vain`: what was seen could not be claimed. `all_until`: that was all there was, and nothing else can be
        due sooner; None if there may be more at once.

        Twice in vain, and what is there cannot go at present; once, and another worker was first, or it has come since.
        """
        self.new_at = now + (AGAIN if in_vain and self.in_vain else SOON)
        self.in_vain = in_vain
        if all_until is not None:
            self.more_at = min(now + AGAIN, all_until)

    def looked_apart(self, now: float, permitted_at: float) -> None:
        """Until one of what they sent has ended there is hardly ever room for more; `permitted_at`: by a rate."""
        self.apart_at = min(now + AGAIN, permitted_at)

    def apart_has_room(self) -> None:
        self.apart_at = 0.0

"""Errors of the roll-out.

::

    RolloutError
    ├── NotLeadingError         another controller leads by now: this one ends
    ├── RolloutOverError        it is over, or what is asked for changes nothing any more
    ├── StoreReplacedError      an older copy of the store was restored under a running controller
    ├── UnknownChangeSetError   no change-set has that id
    ├── UnknownRolloutError     no roll-out of that id is under way
    ├── UnknownSiteError        no site is called that
    └── WrongSiteError          the agent at a site's address says that it is another site
        └── JournalBehindError  it is the site, with a journal that is not the one that it had
"""

from __future__ import annotations

from controller.errors import HeraldError


class RolloutError(HeraldError):
    """Root of the errors of this package."""


class NotLeadingError(RolloutError):
    """This controller does not hold the store's lease any more; it must send nothing."""


class RolloutOverError(RolloutError):
    """The roll-out is over, or is already what it is asked to be."""


class StoreReplacedError(RolloutError):
    """The store knows less than this process has written into it; nothing more is sent."""


class UnknownChangeSetError(RolloutError):
    """No change-set has that id."""


class UnknownRolloutError(RolloutError):
    """No roll-out of that id is under way."""


class UnknownSiteError(RolloutError):
    """No site of this controller is called that."""


class WrongSiteError(RolloutError):
    """An agent answers for another site than the one that it was dialled as; it is given nothing."""


class JournalBehindError(WrongSiteError):
    """A site came back with an older journal, or another one; it is given nothing until that is released."""

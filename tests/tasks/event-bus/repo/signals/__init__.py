from signals.bus import Bus
from signals.subscription import Subscription

__all__ = ["Bus", "Subscription"]

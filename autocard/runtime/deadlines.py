"""Maximum seconds by which an event may delay training if its work hangs.

Without a hang, the work takes a fraction of that. The values are read from the module at each
event, so that a test can shorten a deadline.
"""

from __future__ import annotations

BEGIN_S = 10.0
"""Seconds for the begin of training."""
END_S = 20.0
"""Seconds for the end of training."""
EVENT_S = 2.0
"""Seconds for each event in between."""
LEAST_S = 0.5
"""Seconds for each piece of work after a hanging piece has used up the event's time."""
EVALUATION_S = 3.0
"""Seconds to wait for other processes after training has ended."""
REPORTS_S = 9.5
"""Seconds to wait for other processes at its end: a silent process costs at most 10 s."""
PUSH_S = 3.0
"""Seconds that an upload waits for figures if training ended before CodeCarbon had started."""
POLL_S = 0.1
"""Seconds between two reads of other processes' figures while this process exits."""

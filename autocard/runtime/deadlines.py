"""How long the work of one event may hold training up when something in it hangs; it takes a fraction of that otherwise.

Read at each event through the module, so that a test can shorten a deadline.
"""

from __future__ import annotations

BEGIN_S = 10.0
"""Seconds for the start of training."""
END_S = 20.0
"""Seconds for its end."""
EVENT_S = 2.0
"""Seconds for each event in between."""
LEAST_S = 0.5
"""Seconds that each piece of work gets after a hanging one has used up the event's time."""
EVALUATION_S = 3.0
"""Seconds that other processes may keep us waiting after training has ended."""
REPORTS_S = 9.5
"""The same at its end: one silent process costs no more than 10 s."""
PUSH_S = 3.0
"""Seconds that an upload waits for figures of a training that ended before CodeCarbon had started."""
POLL_S = 0.1
"""Seconds between two looks for figures of other processes, when this one exits."""

"""The last word: our card is the one on disk and the one that is uploaded, whoever else writes cards.

`hosts` knows which objects of a trainer write cards, and is the one place that depends on the hosts' versions; `hold`
wraps such a method of one instance; `keeper` decides which text stands after it; `remote` reads a card on the Hub and
repairs it there.
"""

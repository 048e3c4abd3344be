"""All sums over legs, hosts and batches: pure arithmetic on the record."""

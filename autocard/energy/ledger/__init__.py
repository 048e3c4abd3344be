"""What is kept of each leg and host, and how a leg is put together."""

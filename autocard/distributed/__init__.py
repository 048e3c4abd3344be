"""How the processes of one training meet: rendezvous, team, reports, coordinator."""

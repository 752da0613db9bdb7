"""More than two stored runs of one task compared, pair by pair."""

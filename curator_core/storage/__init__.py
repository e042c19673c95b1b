"""Where bytes live: atomic publication, locks, full disks, private files, what is missing."""

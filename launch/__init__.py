"""The command line and the launchers. No logic lives here."""

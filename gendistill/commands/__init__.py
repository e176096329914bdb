"""The commands, a file for each kind. They import what they need when they run, so that help answers at once."""

"""Pure decisions: given what was seen, what is the next step? No I/O, no clock of its own."""

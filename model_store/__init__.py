"""The system of record and the machine room: what models there are, and what is loaded where."""

"""`voxgate bench`: a load generator that sees a server as its callers do, and takes little of the machine itself."""

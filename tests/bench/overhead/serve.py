"""The command `voxgate` as it is, but for its fork server, which is that of `echo`."""

from gateway.cli import main
from model_store.runtime import spawners

if __name__ == "__main__":
    spawners.FORK_SERVER = "tests.bench.overhead.echo"
    main()

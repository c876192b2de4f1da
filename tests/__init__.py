"""The tests; said to be a package, since a dependency of PaddleSpeech installs another one of this name."""

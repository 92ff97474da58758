"""What the integration tests stand on: pypod itself, two kinds of user, images, terminals, a search for leaks."""

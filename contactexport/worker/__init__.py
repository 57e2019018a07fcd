"""The worker: takes messages from the queue and calls one service each."""

"""The worker: takes messages from the queue. Each calls one service."""

"""What talks to Docker: containers, volumes, images, emulation."""

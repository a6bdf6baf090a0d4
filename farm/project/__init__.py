"""What is to be built: inspecting a project, collecting its source."""

# All images of the farm, and what the building of each has in common. The controller adds what
# it computes (context, parents, platform, tags, labels) in a second file, one for each image.
target "_farm" {
  dockerfile = "Dockerfile"
  output     = ["type=docker"]
}

target "seed" {
  inherits = ["_farm"]
}

target "resolve" {
  inherits = ["_farm"]
  no-cache = true
}

target "toolchain" {
  inherits = ["_farm"]
}

target "python" {
  inherits = ["_farm"]
}

target "builder" {
  inherits = ["_farm"]
}

target "check" {
  inherits = ["_farm"]
}

target "qemu" {
  inherits = ["_farm"]
}

target "probe" {
  inherits = ["_farm"]
}

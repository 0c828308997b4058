# SPDX-License-Identifier: Apache-2.0
# What docker/Dockerfile builds on for Jetson with JetPack 7 (Ubuntu 24.04, aarch64): ROS 2 Jazzy from apt on NVIDIA's
# image with CUDA 13 and TensorRT. NEVER BUILT: docs/containers.md says why, and how to go on from here.
#   docker build -f docker/jetson.Dockerfile -t gar_ros:jetson-base docker
FROM nvcr.io/nvidia/tensorrt:25.09-py3
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV LANG=C.UTF-8 ROS_DISTRO=jazzy

# ROS's apt repository, by the package that has its address and key: version and checksum as in the `ros` images. Then
# what those images have: ROS itself, and what builds packages.
ARG ROS_APT_SOURCE=1.2.0
ARG ROS_APT_SOURCE_SHA256=0804d9b13db770eb87019be414cd78378835228ad5fa801fc88758596dd8f7e5
RUN export DEBIAN_FRONTEND=noninteractive source=/tmp/ros2-apt-source.deb \
        releases=https://github.com/ros-infrastructure/ros-apt-source/releases/download \
    && apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && curl --fail --silent --show-error --location --output "$source" \
        "$releases/$ROS_APT_SOURCE/ros2-apt-source_$ROS_APT_SOURCE.noble_all.deb" \
    && echo "$ROS_APT_SOURCE_SHA256  $source" | sha256sum --check --strict \
    && apt-get install --yes --no-install-recommends "$source" \
    && apt-get update \
    && apt-get install --yes --no-install-recommends \
        build-essential git python3-colcon-common-extensions python3-rosdep ros-jazzy-ros-base tzdata \
    && rosdep init \
    && rm -rf "$source" /var/lib/apt/lists/*

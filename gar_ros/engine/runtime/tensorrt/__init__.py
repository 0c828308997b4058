# SPDX-License-Identifier: Apache-2.0
"""TensorRT without ONNX Runtime between: profiles, engines built once, and a runner that keeps data on the GPU.

The modules `tensorrt` and `cuda` are imported where they are needed only: everywhere else this room can be imported.
"""

"""TensorRT without ONNX Runtime between: profiles, engines that are built once, and the runner that keeps data on the GPU.

The modules `tensorrt` and `cuda` are imported where they are needed only: everywhere else this room can be imported.
"""

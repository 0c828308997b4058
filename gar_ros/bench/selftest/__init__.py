# SPDX-License-Identifier: Apache-2.0
"""`gar selftest`: what runs a model on this machine against ONNX Runtime's CPU, and how fast it is.

`command` starts a process for each part, so that one that crashes is a row of the table: `reference` computes every
stage on the CPU, `subject` compares them as the provider computes them and measures it, `bandwidth` measures memory.
"""

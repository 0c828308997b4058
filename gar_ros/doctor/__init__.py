# SPDX-License-Identifier: Apache-2.0
"""What is on this machine to run a model with, what is missing, and the one next step.

`system` reads files, `probes` looks at libraries, each in a process of its own, and both make the value `Facts`, by
which `checks` judges. Apart from these processes nothing but Python itself is needed: any library may be broken.
"""

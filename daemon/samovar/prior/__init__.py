"""Pictures restored from themselves alone: a network that was trained on nothing is fitted to one damaged picture, and
draws what pictures have in common (edges, surfaces, repetition) sooner than noise.

Source: Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", CVPR 2018, arXiv 1711.10925; Li, Wang, Zhuang and Sun, "Deep
Random Projector: Accelerated Deep Image Prior", CVPR 2023.
"""

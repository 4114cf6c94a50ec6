"""`samovar bench`: how fast this machine is with Samovar, beside what others do with the same models.

Every row of the table is one question with one or more figures, most of them ratios taken in this very run, so that
machine and moment cancel out; contestants take turns within it. A row's module has `measure(plan)`, which returns the
rows that it can answer. Nothing here judges: a target missed is said, with the reason as far as it was measured.

The peers (onnxruntime, ncnn, ...) are the extra `bench`, never needed to run Samovar. Daemons started here live in a
folder of their own; the user's is neither asked nor disturbed.
"""

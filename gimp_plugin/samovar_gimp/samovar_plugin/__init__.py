"""The GIMP plug-in's own modules. They run in a process of their own, so nothing here is shared with other plug-ins.

GIMP's API is not ready while modules are imported: call nothing of it at module level.
"""

from enum import IntFlag

class GType: ...

class ParamFlags(IntFlag):
    READWRITE = 3

TYPE_NONE: GType
G_MININT: int
G_MAXINT: int
G_MAXDOUBLE: float

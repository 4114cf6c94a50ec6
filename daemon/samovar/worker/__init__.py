"""The worker: the only process that imports torch, the only owner of the device. It knows no sockets and no clients."""

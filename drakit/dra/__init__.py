"""Claims, devices and sharing strategies: pure domain logic. No I/O, no printing, no adapters."""

"""What the kernel offers: signalfd, pidfd, prctl, process identities and trees, atomic files, clocks."""

"""What restyles a photo: regrading, and the diffusion engines, behind one interface."""

"""What has to hold: contracts, policies, waivers. Pure."""

"""The training of published methods: discriminator, then generator and voice encoder, with plain weights."""

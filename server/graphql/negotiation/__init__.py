"""What client and server may choose: methods, media types and statuses."""

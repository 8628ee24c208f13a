"""Reads by MongoDB's wire protocol, on connections that PyMongo opened; else PyMongo reads."""

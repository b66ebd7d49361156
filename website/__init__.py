"""How the pages of docs/ become a site: what is made while it is built."""

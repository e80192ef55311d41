"""What the rehearsals of m2g and of ndmg have in common: their real code, without the gigabytes below it."""

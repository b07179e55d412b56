"""From passages to the clusters of each domain: vectors, k-means, names, places on a map."""

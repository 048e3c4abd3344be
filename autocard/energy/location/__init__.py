"""Where the electricity was drawn, and how much CO2 it stands for."""

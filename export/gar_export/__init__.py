"""The torch side of gar_ros: export, parity checks and training. Off the robot; nothing but `gar export` imports it."""

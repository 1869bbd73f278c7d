"""What a camera and programs say of a picture, in Exif and XMP. Knows nothing about its pixels."""

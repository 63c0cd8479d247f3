using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>Image files with metadata, put together for the tests from the formats' specifications.</summary>
internal static class TestImages
{
    /// <summary>A JUMBF box of the type of C2PA manifests.</summary>
    public static byte[] Manifest { get; } =
    [
        0, 0, 0, 46, .. "jumb"u8, 0, 0, 0, 38, .. "jumd"u8, 0x63, 0x32, 0x70, 0x61, 0, 0x11, 0, 0x10, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71,
        3, .. "c2pa-manifest"u8,
    ];

    /// <summary>A profile for colours (ICC.1, 8.3.3): primaries of a wide gamut, gamma 2.2.</summary>
    public static byte[] ColourProfile { get; } = MakeColourProfile();

    /// <summary>A profile's header for one channel, and a tag table of none.</summary>
    public static byte[] GreyProfile { get; } = Profile("GRAY");

    public static byte[] Profile(string space)
    {
        byte[] profile = new byte[132];
        BinaryPrimitives.WriteInt32BigEndian(profile, profile.Length);
        Encoding.ASCII.GetBytes(space).CopyTo(profile, 16);
        "acsp"u8.CopyTo(profile.AsSpan(36));
        return profile;
    }

    /// <summary>An XMP packet with an orientation, a size, a thumbnail and a title.</summary>
    public static byte[] Xmp(string more = "") => Encoding.UTF8.GetBytes(
        "<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?><x:xmpmeta xmlns:x=\"adobe:ns:meta/\">" +
        "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\" " +
        "xmlns:tiff=\"http://ns.adobe.com/tiff/1.0/\" xmlns:exif=\"http://ns.adobe.com/exif/1.0/\" xmlns:b=\"http://ns.adobe.com/xap/1.0/\" " +
        "xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:n=\"http://ns.adobe.com/xmp/note/\" tiff:Orientation=\"6\" n:HasExtendedXMP=\"AB\" " +
        "exif:PixelXDimension=\"11\"><dc:title>TITLE \u00E9</dc:title><b:Thumbnails>OLDPICTURE</b:Thumbnails>" +
        $"{more}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>");

    /// <summary>A file of a format with metadata; null leaves a kind out.</summary>
    public static byte[] With(ImageFormat format, RgbImage image, byte[]? profile, byte[]? exif, byte[]? xmp, bool manifest = false) => format switch
    {
        ImageFormat.Png => Png(image, profile, exif, xmp, manifest),
        ImageFormat.Jpeg => Jpeg(ImageCodec.Encode(image, format).Bytes, profile, exif, xmp, manifest),
        _ => Webp(ImageCodec.Encode(image, format).Bytes, image, profile, exif, xmp, manifest),
    };

    public static byte[] Png(RgbImage image, byte[]? profile, byte[]? exif, byte[]? xmp, bool manifest)
    {
        List<(string, byte[])> chunks = [];
        Add("iCCP", profile is null ? null : [.. "name\0\0"u8, .. Deflated(profile)]);
        Add("eXIf", exif);
        // Compressed, with a language and a translated keyword.
        Add("iTXt", xmp is null ? null : [.. "XML:com.adobe.xmp\0"u8, 1, 0, .. "en\0key\0"u8, .. Deflated(xmp)]);
        Add("caBX", manifest ? Manifest : null);
        return TestPng.Encode(image.Width, image.Height, 8, 2, (x, y) =>
        {
            int i = 3 * ((y * image.Width) + x);
            return [image.Pixels[i], image.Pixels[i + 1], image.Pixels[i + 2]];
        }, false, [.. chunks]);

        void Add(string type, byte[]? content)
        {
            if (content is not null)
            {
                chunks.Add((type, content));
            }
        }
    }

    public static byte[] Jpeg(byte[] plain, byte[]? profile, byte[]? exif, byte[]? xmp, bool manifest)
    {
        List<byte> file = [.. plain[..2]];
        Add(0xE1, "Exif\0\0"u8, exif);
        Add(0xE1, "http://ns.adobe.com/xap/1.0/\0"u8, xmp);
        if (profile is not null)
        {
            // In two pieces, the second first.
            int half = profile.Length / 2;
            Add(0xE2, [.. "ICC_PROFILE\0"u8, 2, 2], profile[half..]);
            Add(0xE2, [.. "ICC_PROFILE\0"u8, 1, 2], profile[..half]);
        }

        Add(0xEB, [(byte)'J', (byte)'P', 0, 1, 0, 0, 0, 1], manifest ? Manifest : null);
        file.AddRange(plain[2..]);
        return [.. file];

        void Add(byte marker, ReadOnlySpan<byte> mark, byte[]? content)
        {
            if (content is not null)
            {
                int length = 2 + mark.Length + content.Length;
                file.AddRange([0xFF, marker, (byte)(length >> 8), (byte)length, .. mark, .. content]);
            }
        }
    }

    public static byte[] Webp(byte[] plain, RgbImage image, byte[]? profile, byte[]? exif, byte[]? xmp, bool manifest)
    {
        var file = new MemoryStream();
        file.Write("RIFF\0\0\0\0WEBP"u8);
        byte flags = (byte)((profile is null ? 0 : 0x20) | (exif is null ? 0 : 8) | (xmp is null ? 0 : 4) | (image.Alpha is null ? 0 : 0x10));
        (int width, int height) = (image.Width - 1, image.Height - 1);
        Add("VP8X", [flags, 0, 0, 0, (byte)width, (byte)(width >> 8), 0, (byte)height, (byte)(height >> 8), 0]);
        Add("ICCP", profile);
        file.Write(plain.AsSpan(12));
        Add("EXIF", exif);
        Add("XMP ", xmp);
        Add("C2PA", manifest ? Manifest : null);
        byte[] bytes = file.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), bytes.Length - 8);
        return bytes;

        void Add(string type, byte[]? content)
        {
            if (content is not null)
            {
                file.Write(Encoding.ASCII.GetBytes(type));
                file.Write(BitConverter.GetBytes(content.Length));
                file.Write(content);
                file.Write(new byte[content.Length % 2]);
            }
        }
    }

    public static byte[] Deflated(byte[] data)
    {
        var stream = new MemoryStream();
        using (var zlib = new ZLibStream(stream, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            zlib.Write(data);
        }

        return stream.ToArray();
    }

    private static byte[] MakeColourProfile()
    {
        byte[] profile = new byte[320];
        Put(0, profile.Length, 0x02400000);
        "mntrRGB XYZ "u8.CopyTo(profile.AsSpan(12));
        "acsp"u8.CopyTo(profile.AsSpan(36));
        Put(68, 0xF6D6, 0x10000, 0xD32D);
        (string Tag, int At, int[] Values)[] tags =
        [
            ("rXYZ", 204, [0x9C18, 0x4FA5, 0x4FC]), ("gXYZ", 224, [0x348D, 0xA02C, 0xF95]), ("bXYZ", 244, [0x2631, 0x102F, 0xBE9C]),
            ("rTRC", 264, []), ("gTRC", 264, []), ("bTRC", 264, []),
        ];
        Put(128, tags.Length);
        for (int i = 0; i < tags.Length; i++)
        {
            (string tag, int at, int[] values) = tags[i];
            Encoding.ASCII.GetBytes(tag).CopyTo(profile, 132 + (12 * i));
            Put(136 + (12 * i), at, values.Length == 0 ? 14 : 20);
            Encoding.ASCII.GetBytes(values.Length == 0 ? "curv" : "XYZ ").CopyTo(profile, at);
            Put(at + 8, values.Length == 0 ? [1, 0x02330000] : values);
        }

        return profile;

        void Put(int at, params int[] values)
        {
            for (int i = 0; i < values.Length; i++)
            {
                BinaryPrimitives.WriteInt32BigEndian(profile.AsSpan(at + (4 * i)), values[i]);
            }
        }
    }
}

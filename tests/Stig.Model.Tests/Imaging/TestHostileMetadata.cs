using System.Buffers.Binary;
using System.Text;

namespace Stig.Model.Tests.Imaging;

/// <summary>Metadata of which every part is met in every place: what a file can hold that was made to break the program.</summary>
internal static class TestHostileMetadata
{
    /// <summary>Elements and attributes that mean something, anywhere and in any number; of some packets the text is damaged.</summary>
    public static byte[] Xmp(Random random)
    {
        string[] names =
        [
            "rdf:RDF", "rdf:Description", "rdf:Seq", "rdf:li", "x:xmpmeta", "t:provenance", "n:HasExtendedXMP", "b:Thumbnails",
            "tiff:Orientation", "tiff:ImageWidth", "exif:PixelXDimension", "m:History", "plain",
        ];
        string[] pieces =
        [
            "<", ">", "/>", "&", "&#1;", "&#xD800;", "&amp;", "<![CDATA[", "]]>", "<!--", "-->", "--", "<?a b?>", "<?xml version='1.0'?>", "\0",
            "<?xml version='1.0' encoding='utf-7'?>", "<?xml version='1.0' encoding='utf-16'?>", "<?xml version='1.0' encoding='x'?>", "\uFEFF",
            "<!DOCTYPE a>", " xmlns=''", " xmlns:rdf=''", " xmlns:rdf='a'", " xmlns:xml='http://www.w3.org/XML/1998/namespace'", "\uFFFE",
            " xml:space='preserve'", "\U0001F600",
        ];
        var text = new StringBuilder();
        Element(0);
        for (int damage = random.Next(4) == 0 ? random.Next(1, 4) : 0; damage > 0; damage--)
        {
            int at = random.Next(text.Length + 1);
            text.Remove(at, random.Next(2) == 0 ? 0 : random.Next(Math.Min(20, text.Length - at + 1))).Insert(at, pieces[random.Next(pieces.Length)]);
        }

        return Encoding.UTF8.GetBytes(text.ToString());

        void Element(int depth)
        {
            string name = names[random.Next(depth == 0 && random.Next(3) > 0 ? 1 : names.Length)];
            text.Append('<').Append(name);
            if (depth == 0)
            {
                text.Append(" xmlns:x='adobe:ns:meta/' xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'")
                    .Append(" xmlns:t='http://purl.org/dc/terms/'")
                    .Append(" xmlns:n='http://ns.adobe.com/xmp/note/' xmlns:b='http://ns.adobe.com/xap/1.0/'")
                    .Append(" xmlns:m='http://ns.adobe.com/xap/1.0/mm/'")
                    .Append(" xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:exif='http://ns.adobe.com/exif/1.0/'");
            }

            foreach (string attribute in random.GetItems(names, random.Next(3)).Distinct())
            {
                text.Append(' ').Append(attribute).Append("='").Append(random.Next(9)).Append('\'');
            }

            text.Append('>');
            for (int children = random.Next(depth < 5 ? 4 : 1); children > 0; children--)
            {
                if (random.Next(4) == 0)
                {
                    text.Append(random.Next(9));
                }
                else
                {
                    Element(depth + 1);
                }
            }

            text.Append("</").Append(name).Append('>');
        }
    }

    /// <summary>Numbers of which directories consist, set to what is at the limits or points elsewhere.</summary>
    public static byte[] Exif(Random random)
    {
        bool bigEndian = random.Next(2) == 0;
        byte[] exif = TestExif.Make(bigEndian, random.Next(10), 24, 16);
        int[] directories = [8, 200, 400, 500];
        int[] tags = [0x0100, 0x0101, 0x0111, 0x0112, 0x0117, 0x014A, 0x0201, 0x0202, 0x8769, 0x9003, 0xA002, 0xA003];
        for (int changes = random.Next(1, 5); changes > 0; changes--)
        {
            int directory = directories[random.Next(4)], length = exif.Length, entry = directory + 2 + (12 * random.Next(8));
            int[] offsets = [0, 1, 7, 8, 9, 200, 206, 400, 500, 600, length - 4, length - 1, length, length + 1, int.MaxValue, int.MinValue, -1];
            int[] counts = [0, 1, 2, 4, 5, length, 0x1FFFFFFF, 0x20000000, 0x3FFFFFFF, 0x40000000, int.MaxValue, int.MinValue, -1];
            (int at, int size, int value) = random.Next(8) switch
            {
                0 => (entry, 2, tags[random.Next(tags.Length)]),
                1 => (entry + 2, 2, random.Next(15)),
                2 => (entry + 4, 4, counts[random.Next(counts.Length)]),
                3 or 4 => (entry + 8, 4, offsets[random.Next(offsets.Length)]),
                5 => (directory, 2, new[] { 0, 1, 5, 6, 7, 8, 999, 1000, 1001, ushort.MaxValue }[random.Next(10)]),
                6 when random.Next(2) == 0 => (4, 4, offsets[random.Next(offsets.Length)]),
                6 => (directory + 2 + (12 * exif[directory + (bigEndian ? 1 : 0)]), 4, offsets[random.Next(offsets.Length)]),
                _ => (random.Next(length), 1, random.Next(256)),
            };
            for (int i = 0; i < size && at + i < length; i++)
            {
                exif[at + i] = (byte)(value >> (8 * (bigEndian ? size - 1 - i : i)));
            }
        }

        return random.Next(8) == 0 ? exif[..random.Next(exif.Length)] : exif;
    }

    /// <summary>The same for the header and the tag table of a profile.</summary>
    public static byte[] Profile(Random random)
    {
        byte[] profile = [.. TestImages.ColourProfile];
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            int at = random.Next(3) switch { 0 => 4 * random.Next(32), 1 => 128, _ => 132 + (4 * random.Next(18)) };
            int[] values = [0, 1, 3, 100, profile.Length - 1, profile.Length, profile.Length + 1, int.MaxValue, int.MinValue, -1];
            BinaryPrimitives.WriteInt32BigEndian(profile.AsSpan(at), values[random.Next(values.Length)]);
        }

        return random.Next(8) == 0 ? profile[..random.Next(profile.Length)] : profile;
    }
}

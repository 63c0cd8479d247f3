namespace Stig.Model.Imaging;

/// <summary>What colours a profile describes.</summary>
internal enum ProfileSpace
{
    /// <summary>Not a profile.</summary>
    Damaged,

    /// <summary>One channel.</summary>
    Grey,

    /// <summary>Red, green and blue.</summary>
    Rgb,

    /// <summary>Others, as of inks.</summary>
    Other,
}

/// <summary>Looks into the header of ICC profiles.</summary>
/// <remarks>ICC.1:2022, 7.2: 128 bytes, the space at 16, "acsp" at 36.</remarks>
internal static class IccProfile
{
    private const int HeaderLength = 128;

    /// <summary>What a profile describes.</summary>
    public static ProfileSpace SpaceOf(ReadOnlySpan<byte> profile)
    {
        if (profile.Length <= HeaderLength || !profile[36..].StartsWith("acsp"u8))
        {
            return ProfileSpace.Damaged;
        }

        ReadOnlySpan<byte> space = profile.Slice(16, 4);
        return space.SequenceEqual("RGB "u8) ? ProfileSpace.Rgb : space.SequenceEqual("GRAY"u8) ? ProfileSpace.Grey : ProfileSpace.Other;
    }
}

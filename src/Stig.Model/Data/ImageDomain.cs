namespace Stig.Model.Data;

/// <summary>The two sets of images that translation goes between.</summary>
public enum ImageDomain
{
    /// <summary>Photographs, or whatever the refined images are to resemble.</summary>
    Real,

    /// <summary>Generated images.</summary>
    Fake,
}
